package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheUnitIsValid has systemd check the unit, with a program that is there.
func TestTheUnitIsValid(t *testing.T) {
	text, err := os.ReadFile("systemd/bothy.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := string(text)
	path := filepath.Join(t.TempDir(), "bothy.service")
	if err := os.WriteFile(path, []byte(strings.Replace(unit, "/usr/local/bin/bothy", "/bin/true", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// Computers and the warden outlive the node's process, and so do its mounts.
	for _, line := range []string{"KillMode=process", "Delegate=yes", "Type=notify"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("%s is not in the unit", line)
		}
	}
	for _, own := range []string{"PrivateTmp=", "ProtectSystem=", "ProtectHome=", "PrivateDevices=", "PrivateMounts=", "ReadWritePaths=", "MountFlags="} {
		if strings.Contains(unit, "\n"+own) {
			t.Errorf("%s gives the node a mount namespace of its own", own)
		}
	}
}
