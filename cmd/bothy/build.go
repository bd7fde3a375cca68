package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

// Bounds of what may be configured of builds.
const (
	minBuildMemory = 128 << 20
	minBuildDisk   = 256 << 20
	minBuildLimit  = 10 * time.Second
	maxBuildLimit  = 24 * time.Hour
)

var legalVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// builder makes images on a machine.
func (m *machine) builder(c Config) *build.Engine {
	b := c.Build
	e := &build.Engine{Machines: m.driver, Images: m.images,
		Aliases:   map[string]string{build.DefaultBase: cmp.Or(b.Base, c.Computer.Image)},
		Resources: runtime.Resources{MemoryBytes: int64(b.Memory), MilliCPU: b.MilliCPU, StorageBytes: int64(b.Disk), PIDs: b.Processes}}
	for _, name := range slices.Sorted(maps.Keys(b.Env)) {
		e.Env = append(e.Env, name+"="+b.Env[name])
	}
	return e
}

// recipes say how environments' images are written down.
func (c Config) recipes() actors.Recipes {
	return actors.Recipes{Runtimes: c.Build.Runtimes, Installers: build.Installers{Archives: c.Build.Archives}, Limit: c.Build.Limit}
}

// credentialURL finds URLs with a user or password before the host.
var credentialURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]*@`)

// openURL refuses credentials in what every build step sees.
func openURL(field, name, value string) error {
	if !credentialURL.MatchString(value) {
		return nil
	}
	return fmt.Errorf("%s: %s holds a URL with a user or password, which every build step could print: "+
		"put a proxy that adds them before the mirror, and have it take connections of the nodes only", field, name)
}

func (c Config) checkBuild() error {
	b := c.Build
	var errs []error
	if b.Memory < minBuildMemory {
		errs = append(errs, fmt.Errorf("build.memory: %d is less than %d bytes", b.Memory, minBuildMemory))
	}
	if b.Disk < minBuildDisk {
		errs = append(errs, fmt.Errorf("build.disk: %d is less than %d bytes", b.Disk, minBuildDisk))
	}
	if b.MilliCPU < 10 || b.Processes < 64 {
		errs = append(errs, errors.New("build.milliCPU is at least 10, build.processes at least 64"))
	}
	if b.Limit < minBuildLimit || b.Limit > maxBuildLimit {
		errs = append(errs, fmt.Errorf("build.limit: %s is not from %s to %s", b.Limit, minBuildLimit, maxBuildLimit))
	}
	for name, value := range b.Env {
		if !legalVariable.MatchString(name) {
			errs = append(errs, fmt.Errorf("build.env: %q is no name of a variable", name))
		}
		errs = append(errs, openURL("build.env", name, value))
	}
	for language, at := range b.Archives {
		errs = append(errs, openURL("build.archives", language, at))
	}
	for language, versions := range b.Runtimes {
		for _, v := range versions {
			if err := build.CheckRuntime(b.Runtimes, language, v); err != nil {
				errs = append(errs, fmt.Errorf("build.runtimes: %w", err))
			}
		}
	}
	if err := (build.Installers{Archives: b.Archives}).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("build.archives: %w", err))
	}
	return errors.Join(errs...)
}
