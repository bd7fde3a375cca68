package main

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = ""

// buildVersion is the version of this binary, as well as it is known.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unversioned"
}

// versionReport is what `bothy version` says.
type versionReport struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show which build of bothy this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionReport{buildVersion(), goruntime.Version(), goruntime.GOOS + "/" + goruntime.GOARCH}
			if t.json() {
				return t.print(v)
			}
			_, err := fmt.Fprintf(t.out, "bothy %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
}
