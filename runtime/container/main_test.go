package container

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// wardenArg makes the test binary a warden: wardenArg DIR NODE.
const wardenArg = "warden-of-the-test"

// scratch holds what all tests share: the guest, built once, and images.
var scratch, guestBinary string

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == wardenArg {
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := warden.Main(context.Background(), warden.Options{Dir: os.Args[2], Node: os.Args[3], Log: log}); err != nil {
			log.Error("warden ended", "err", err)
			os.Exit(1)
		}
		syscall.Exit(0) // os.Exit lingers for a second under the race detector
	}
	if len(os.Args) == 5 && os.Args[1] == driveArg {
		drive(os.Args[2], os.Args[3], os.Args[4])
		os.Exit(0)
	}
	if len(os.Args) == 6 && os.Args[1] == dieArg {
		dieAt(os.Args[2], os.Args[3], runtime.ID(os.Args[4]), os.Args[5])
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	scratch, err = os.MkdirTemp("", "scratch")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	guestBinary = filepath.Join(scratch, "guest")
	build := exec.Command("go", "build", "-o", guestBinary, "../../cmd/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build guest: %v\n%s", err, out)
		return 1
	}
	before := machine()
	code := m.Run()
	for _, name := range leftBehind(before) {
		fmt.Fprintln(os.Stderr, "left behind:", name)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// leftBehind looks until nothing is left, for a while: what was ended may still
// be on its way out.
func leftBehind(before map[string]map[string]bool) (left []string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = nil
		for what, names := range machine() {
			for name := range names {
				if !before[what][name] && strings.Contains(name, testMark) {
					left = append(left, what+" "+name)
				}
			}
		}
		if left == nil {
			return nil
		}
	}
	return left
}
