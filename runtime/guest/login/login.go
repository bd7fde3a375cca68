// Package login becomes a user's shell, inside a computer, as a login by SSH
// does: at home, with the shell of /etc/passwd, on a terminal set as the
// client's is.
package login

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bothy-computer/bothy/runtime/guest/passwd"
)

// Shells of a user whose own is not there, the first that is.
var otherShells = []string{"/bin/bash", "/bin/sh"}

// plan is what is executed, and where.
type plan struct {
	shell string
	argv  []string
	env   []string
	home  string
	modes []byte
}

// Exec reads the arguments of `guest login` and becomes the shell; it returns
// only when it cannot.
//
//	--command C  runs C by the shell; without it the shell is a login shell
//	--modes H    sets the terminal as RFC 4254 section 8 encodes it, in hexadecimal
func Exec(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	p, err := planOf(self, args)
	if err != nil {
		return err
	}
	if err := setModes(os.Stdin, p.modes); err != nil {
		return err
	}
	// A home that is not there, or not to be entered, is no reason to stay out.
	if os.Chdir(p.home) != nil {
		if err := os.Chdir("/"); err != nil {
			return fmt.Errorf("enter /: %w", err)
		}
	}
	if err := syscall.Exec(p.shell, p.argv, p.env); err != nil {
		return fmt.Errorf("run the shell %s: %w", p.shell, err)
	}
	return nil
}

func planOf(self string, args []string) (p plan, err error) {
	flags := flag.NewFlagSet("login", flag.ContinueOnError)
	command := flags.String("command", "", "what the shell runs")
	modes := flags.String("modes", "", "terminal modes")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if p.modes, err = hex.DecodeString(*modes); err != nil {
		return p, fmt.Errorf("read the terminal modes: %w", err)
	}
	user, err := passwd.Lookup("/", strconv.Itoa(os.Getuid()))
	if err != nil {
		return p, err
	}
	if p.shell, err = shellOf(user.Shell); err != nil {
		return p, err
	}
	p.home, p.env = user.Home, environ(os.Environ(), p.shell)
	name := filepath.Base(p.shell)
	if *command == "" {
		p.argv = []string{"-" + name}
		return p, nil
	}
	p.argv = []string{name, "-c", withCopy(*command, self)}
	return p, nil
}

func shellOf(own string) (string, error) {
	for _, shell := range append([]string{own}, otherShells...) {
		if info, err := os.Stat(shell); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return shell, nil
		}
	}
	return "", errors.New("the computer has no shell")
}

// environ names the shell, and leaves PWD for it to find.
func environ(env []string, shell string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "SHELL=") || strings.HasPrefix(v, "PWD=") || strings.HasPrefix(v, "OLDPWD=")
	})
	return append(env, "SHELL="+shell)
}

// withCopy lets `scp -O` copy to and from a computer without scp: this program
// stands in for it, inside the shell that expands the paths.
func withCopy(command, self string) string {
	if !strings.HasPrefix(command, "scp ") {
		return command
	}
	if _, err := exec.LookPath("scp"); err == nil {
		return command
	}
	return "scp() { '" + self + "' scp \"$@\"; }\n" + command
}
