package scp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long two sides may take.
const patience = 20 * time.Second

// between copies from one end to the other over pipes, as two computers do.
func between(t *testing.T, from, to []string) (sent, taken error) {
	t.Helper()
	upR, upW := io.Pipe()
	downR, downW := io.Pipe()
	hung := time.AfterFunc(patience, func() {
		t.Error("each side waits for the other")
		upW.CloseWithError(os.ErrDeadlineExceeded)
		downW.CloseWithError(os.ErrDeadlineExceeded)
	})
	defer hung.Stop()
	done := make(chan error, 1)
	go func() {
		err := Run(from, upR, downW)
		downW.Close()
		done <- err
	}()
	taken = Run(to, downR, upW)
	upW.Close()
	downR.Close()
	upR.Close()
	return <-done, taken
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestATreeArrivesWhole(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	large := strings.Repeat("0123456789abcdef\x00\n", 200_000)
	old := time.Unix(1_600_000_000, 0)
	files := map[string]string{"tree/a": "", "tree/b c": "text\n", "tree/deep/er/large": large, "tree/\xff": "no text"}
	for name, text := range files {
		write(t, filepath.Join(from, name), text, 0o640)
		if err := os.Chtimes(filepath.Join(from, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(from, "tree/empty"), 0o500); err != nil {
		t.Fatal(err)
	}
	if sent, taken := between(t, []string{"-f", "-r", "-p", filepath.Join(from, "tree")}, []string{"-t", "-r", "-p", to}); sent != nil || taken != nil {
		t.Fatal(sent, taken)
	}
	for name, text := range files {
		got, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || !info.ModTime().Equal(old) || info.Mode() != 0o640 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "tree/empty")); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("%v %v", info, err)
	}
}

func TestOneFileTakesItsNewName(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one"), "1", 0o600)
	if sent, taken := between(t, []string{"-f", filepath.Join(dir, "one")}, []string{"-t", filepath.Join(dir, "two")}); sent != nil || taken != nil {
		t.Fatal(sent, taken)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "two")); err != nil || string(got) != "1" {
		t.Errorf("%q %v", got, err)
	}
}

func TestWhatCannotBeCopiedIsToldAndTheRestGoesOn(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "here"), "yes", 0o600)
	sent, _ := between(t, []string{"-f", filepath.Join(from, "gone"), from, filepath.Join(from, "here")}, []string{"-t", to})
	if !errors.Is(sent, errUncopied) {
		t.Errorf("sent with %v", sent)
	}
	if got, err := os.ReadFile(filepath.Join(to, "here")); err != nil || string(got) != "yes" {
		t.Errorf("%q %v", got, err)
	}
	write(t, filepath.Join(to, "full/x"), "", 0o600)
	if err := os.MkdirAll(filepath.Join(to, "here2/here"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, taken := between(t, []string{"-f", filepath.Join(from, "here")}, []string{"-t", filepath.Join(to, "here2/")}); !errors.Is(taken, errUncopied) {
		t.Errorf("a file over a directory: %v", taken)
	}
	if _, taken := between(t, []string{"-f", filepath.Join(from, "here")}, []string{"-t", "-d", filepath.Join(to, "here")}); taken == nil {
		t.Error("a file was taken for a directory")
	}
}

// TestAFileThatShrinksWhileItIsSent is told of, and the next one comes.
func TestAFileThatShrinksWhileItIsSent(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	shrinks, slow := filepath.Join(from, "shrinks"), filepath.Join(to, "shrinks")
	write(t, shrinks, strings.Repeat("x", 1<<20), 0o600)
	write(t, filepath.Join(from, "next"), "yes", 0o600)
	if err := syscall.Mkfifo(slow, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan [2]error, 1)
	go func() {
		sent, taken := between(t, []string{"-f", shrinks, filepath.Join(from, "next")}, []string{"-t", to})
		ended <- [2]error{sent, taken}
	}()
	// It opens once the file is announced, and takes little of it unread.
	pipe, err := os.Open(slow)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := os.Truncate(shrinks, 1); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, pipe); err != nil || n != 1<<20 {
		t.Errorf("%d bytes came, %v", n, err)
	}
	if both := <-ended; !errors.Is(both[0], errUncopied) || !errors.Is(both[1], errUncopied) {
		t.Errorf("sent with %v, taken with %v", both[0], both[1])
	}
	if got, err := os.ReadFile(filepath.Join(to, "next")); err != nil || string(got) != "yes" {
		t.Errorf("%q %v", got, err)
	}
}

// TestWhatCannotHaveItsModeIsToldOnce: else the sender takes the second answer
// for that of the next file, and sends one that nobody takes.
func TestWhatCannotHaveItsModeIsToldOnce(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "comm"), "scp.test", 0o600) // may be written, and has no other mode
	write(t, filepath.Join(from, "nowhere"), "text", 0o600)
	sent, taken := between(t, []string{"-f", "-p", filepath.Join(from, "comm"), filepath.Join(from, "nowhere")}, []string{"-t", "-p", "/proc/self"})
	if !errors.Is(sent, errUncopied) || !errors.Is(taken, errUncopied) {
		t.Errorf("sent with %v, taken with %v", sent, taken)
	}
}

// hostile are lines that must not be obeyed.
var hostile = []string{"C0644 1 ../x\n", "C0644 1 /etc/x\n", "C0644 1 ..\n", "C0644 1 \n", "D0755 0 d\n", "C0644 -1 x\n", "C9999 1 x\n", "C77777 1 x\n",
	"C0644 1\n", "X\n", "\n", "T1 0 1\n", "T-1 0 1 0\n", "E\n", "C0644 99999999999999999999 x\n", strings.Repeat("C", maxLineBytes+1) + "\n"}

func TestHostileLinesEndIt(t *testing.T) {
	for _, line := range hostile {
		dir := t.TempDir()
		var out bytes.Buffer
		if err := Run([]string{"-t", dir}, strings.NewReader(line), &out); err == nil {
			t.Errorf("%.40q was taken", line)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%.40q left %v %v", line, left, err)
		}
	}
}

func FuzzSink(f *testing.F) {
	for _, line := range hostile {
		f.Add([]byte(line))
	}
	f.Add([]byte("T1 0 1 0\nD0755 0 d\nC0600 3 x\nabc\x00E\nC0644 0 y\n\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = Run([]string{"-t", "-r", "-p", dir}, bytes.NewReader(input), io.Discard) // either end is fine
		if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
			t.Errorf("%q wrote outside: %v %v", input, left, err)
		}
	})
}
