package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryVariable names the bothy that tests start; without it one is built.
const binaryVariable = "BOTHY_TEST_BINARY"

// binary is the bothy that tests start.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(fakeVariable) != "" {
		os.Exit(fakeNode(os.Args))
	}
	if edge := os.Getenv(edgeVariable); edge != "" {
		os.Exit(joinEdge(edge))
	}
	os.Exit(withBinary(m.Run))
}

// withBinary runs tests with a bothy to start, which holds a guest.
func withBinary(run func() int) int {
	if binary = os.Getenv(binaryVariable); binary != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "bothytest-binary")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "bothy")
	for _, build := range [][]string{
		{"go", "build", "-o", "../../runtime/guest/embedded/guest", "../guest"},
		{"make", "-C", "../..", "assets"},
		{"go", "build", "-o", binary, "."},
	} {
		cmd := exec.Command(build[0], build[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
			return 1
		}
	}
	return run()
}
