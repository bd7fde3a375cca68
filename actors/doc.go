// Package actors makes what the cluster has agreed on happen.
//
// Each live thing (a thread with a run, a computer) has one actor, on the node
// that owns it, and only that actor acts on it. So there are no locks around
// what it knows, and one rule: an actor never waits. It sends slow work aside
// and is told the result.
//
// Doors call the nouns: [Threads], [Agents], [Environments], [Computers],
// [Accounts]. A noun checks, seals what is secret and proposes one command;
// from there the records carry the work: the owner's apply loop wakes the
// actor, which reads what is wanted and does it.
//
//	threads.go   POST of a message becomes one StartRun command
//	watch.go     the owner's apply loop wakes the thread's actor
//	thread.go    one run at a time; the log that is the stream
//	run.go       the agent loop, one step at a time, until an outcome
//	computer.go  compares wish with fact, does one thing, looks again
//
// Records are in cluster/state, machines in runtime, the loop in actors/agent.
// DESIGN.md says why.
package actors
