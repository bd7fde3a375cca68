// Package warden keeps a node's computers while the node itself may die.
//
// A warden is a small process of its own session, one for each data directory.
// Everything the OCI runtime starts becomes its descendant, so a node killed
// with -9 leaves its computers running, and finds the warden again through a
// socket in the data directory. It knows nothing of clusters. It has three
// duties:
//
//	process.go   run commands for the node, and reap what they leave behind
//	fence.go     decide, from a deadline, when computers must stand still
//	server.go    carry out both, at the node's request or when time is up
//
// The deadline is a moment on CLOCK_BOOTTIME, which no clock adjustment moves
// and which counts suspended time. The node pushes a later one after each
// lease renewal; when it passes, the warden freezes the node's one cgroup,
// whatever has become of the node.
//
// The package imports little, because a warden should stay below 10 MiB.
package warden
