package login

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mode encodes one terminal mode.
func mode(op byte, value uint32) []byte { return binary.BigEndian.AppendUint32([]byte{op}, value) }

func TestModesSetTheTerminal(t *testing.T) {
	term := unix.Termios{Lflag: unix.ECHO | unix.ICANON, Oflag: unix.OPOST}
	term.Cc[unix.VINTR], term.Cc[unix.VQUIT] = 3, 28
	modes := slices.Concat(mode(3, 8), mode(2, 255), mode(53, 0), mode(42, 1), mode(128, 9600), mode(72, 1), []byte{0}, mode(51, 0))
	apply(&term, modes)
	if term.Cc[unix.VERASE] != 8 || term.Cc[unix.VQUIT] != 0 || term.Cc[unix.VINTR] != 3 {
		t.Errorf("keys %v", term.Cc)
	}
	if term.Lflag != unix.ICANON || term.Iflag != unix.IUTF8 || term.Oflag != unix.OPOST|unix.ONLCR {
		t.Errorf("flags %x %x %x", term.Lflag, term.Iflag, term.Oflag)
	}
}

func FuzzModes(f *testing.F) {
	f.Add([]byte{})
	f.Add(mode(3, 127))
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{255, 1, 2, 3, 4, 5})
	f.Fuzz(func(_ *testing.T, modes []byte) { apply(&unix.Termios{}, modes) })
}

func TestPlans(t *testing.T) {
	p, err := planOf("/run/bothy/guest", []string{"--modes", hex.EncodeToString(mode(53, 0))})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.argv) != 1 || !strings.HasPrefix(p.argv[0], "-") || !strings.HasPrefix(p.shell, "/") || !slices.Equal(p.modes, mode(53, 0)) {
		t.Errorf("%+v", p)
	}
	if p, err = planOf("/run/bothy/guest", []string{"--command", "echo 'a b'"}); err != nil || len(p.argv) != 3 || p.argv[1] != "-c" || p.argv[2] != "echo 'a b'" {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := planOf("", []string{"--modes", "xyz"}); err == nil {
		t.Error("modes that are not hexadecimal")
	}
}

func TestScpIsStoodInForWhereThereIsNone(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if got := withCopy("scp -t x", "/g"); !strings.Contains(got, "'/g' scp") || !strings.HasSuffix(got, "\nscp -t x") {
		t.Errorf("%q", got)
	}
	if got := withCopy("scpx -t x", "/g"); got != "scpx -t x" {
		t.Errorf("%q", got)
	}
}
