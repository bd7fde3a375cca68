// Package nemesis plays against a cluster of real nodes: clients work through all
// of them, while nodes are killed, stopped, cut off, deafened, filled up, slowed down,
// set to another time, restarted, drained and replaced, and at the end every client's
// witness says whether what it was told has held.
//
//	play.go       one play: a house, witnesses at work, faults in turn, the judgement
//	faults.go     what is done to nodes, and undone
//	upgrade.go    instead: nodes of an older build become those of a newer one
//	registers.go  records are linearizable (porcupine)
//	threads.go    a thread's events come once, in order, to whoever follows anywhere
//	files.go      files are as they were last saved, or newer
//	money.go      the bill is the sum of its lines, and nothing stays held
//	requests.go   what fails is mended by the same request with the same key, and made once
//	schedules.go  each tick makes one run
//	builds.go     a build ends, and the next one is right
//	replicas.go   records are the same on every node, to the byte
//	orphans.go    what was deleted leaves nothing on any node
//	logs.go       no node tells of a panic, or of a race
//
// What is random comes from the seed that a play prints; when a process is hit by
// it is up to the machine.
package nemesis
