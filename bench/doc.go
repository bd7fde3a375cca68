// Command bench measures Bothy, and beside each figure what it is compared to,
// in the same run: `go run ./bench SCENARIO`, or all of them.
//
// Each scenario is a file of its own name and starts the nodes it needs, or
// needs none; house starts and clears them, bare is what they are compared to,
// measure counts and prints. README.md has the figures of a run and says what
// they mean.
package main
