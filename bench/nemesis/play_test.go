package nemesis

import (
	"cmp"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// ciPlay is how long the faults of a play last in tests.
const ciPlay = 3 * time.Minute

// TestPlay plays with the seed in BOTHY_NEMESIS_SEED, or any. The binary is the one
// in BOTHY_TEST_BINARY, as make test builds it, or is built here.
func TestPlay(t *testing.T) {
	binary := os.Getenv("BOTHY_TEST_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "bothy")
		if out, err := exec.Command("go", "build", "-race", "-o", binary, "github.com/bothy-computer/bothy/cmd/bothy").CombinedOutput(); err != nil {
			t.Fatalf("build bothy: %v\n%s", err, out)
		}
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("BOTHY_NEMESIS_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	base, err := os.MkdirTemp("", "bothytest-nemesis-") // computers' users walk through it, and not through t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := Play(t.Context(), Game{Bothy: binary, Base: base, Seed: seed, During: ciPlay, Out: t.Output()}); err != nil {
		t.Fatal(err) // base keeps the logs
	}
	if err := os.RemoveAll(base); err != nil {
		t.Error(err)
	}
}
