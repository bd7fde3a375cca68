// Package cgroup acts on control groups, of version 1, version 2, or a machine
// that mounts both (where the v1 controllers count).
//
// It covers what the OCI runtime does not: the group above all computers of a
// node, freezing with the rules that v1 and v2 do not share, changing limits
// without a process, and reading counters. It is small because the warden
// stands on it.
package cgroup
