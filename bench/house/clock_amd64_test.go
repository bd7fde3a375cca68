package house

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// clockFace has this test's binary say the time, as often as it is asked.
const clockFace = "BOTHY_TEST_CLOCK"

func TestMain(m *testing.M) {
	if os.Getenv(clockFace) == "" {
		os.Exit(m.Run())
	}
	begun := time.Now()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		date, err := exec.Command("date", "+%s").Output()
		fmt.Println(time.Now().Unix(), time.Since(begun).Milliseconds(), string(date[:len(date)-1]), err)
	}
}

func TestAClockMovesInARunningProcessAlone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), clockFace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = t.Output()
	ask, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begun, c := time.Now(), clock{ahead: -3600} // wrong from its start
	if err := apart(func() error { return c.start(cmd) }); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ask.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	for _, ahead := range []int64{-3600, 7200, -1, 0, 90_000} {
		c.ahead = ahead
		if err := c.set(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		var clock, counted, child int64
		var failed string
		before := time.Now().Unix()
		if _, err := fmt.Fprintln(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscan(answers, &clock, &counted, &child, &failed); err != nil {
			t.Fatal(err)
		}
		after, most := time.Now().Unix(), time.Since(begun).Milliseconds()
		if clock < before+ahead || clock > after+ahead || counted < 0 || counted > most || child < before || child > after || failed != "<nil>" {
			t.Errorf("%d s ahead of %d to %d: it says %d, %d of %d ms counted; its child says %d, %s", ahead, before, after, clock, counted, most, child, failed)
		}
	}
}
