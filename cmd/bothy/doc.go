// Command bothy is everything: a node of a cluster, the warden that keeps its
// computers, and the client of both people and programs.
//
//	main.go      which of the three this process is
//	up.go        a node in the foreground; fleet.go several of them for one machine
//	node.go      wires a node: cluster, runtime, actors, HTTP
//	config.go    what may be configured; settings.go from where, validate.go what is wrong
//	banner.go    what an operator is told when the node is ready
//	root.go      the client's verbs, one file for each noun
//	output.go    tables for people, JSON for programs
//	run.go       a message, and its run as it happens; progress.go draws it
package main
