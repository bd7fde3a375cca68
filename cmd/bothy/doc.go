// Command bothy is everything: a node of a cluster, the warden that keeps its
// computers, and the client of both people and programs.
//
//	main.go      which of the three this process is
//	up.go        a node in the foreground; fleet.go several of them for one machine
//	node.go      wires a node: cluster, runtime, actors, HTTP
//	config.go    what may be configured; settings.go from where, validate.go what is wrong
//	bootstrap.go how nodes that start together find each other; tls.go and acme.go
//	             what clients are shown by TLS
//	banner.go    what an operator is told when the node is ready
//	doctor.go    what a machine or a cluster lacks; doctor*.go look at it. top.go
//	             watches, topframe.go draws
//	root.go      the client's verbs, one file for each noun
//	output.go    tables for people, JSON for programs
//	run.go       a message, and its run as it happens; progress.go draws it
package main
