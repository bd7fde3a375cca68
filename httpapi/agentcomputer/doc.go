// Package agentcomputer is the Agent Computer dialect: computers, commands,
// files, sessions, ports, shares, SSH, snapshots and usage, as that product's
// clients call them.
//
//	api.go        the door: routes, lookups, failures
//	me.go         who calls, and what their plan allows
//	images.go     what computers are made of
//	sizes.go      presets, limits, and what the nodes have free
//	computers.go  computers: list, read, rename, delete
//	create.go     what a new computer may be asked to be
//	actions.go    start, stop, ensure-ready, resize, transfer
//	exec.go       one command and its output
//	files.go      the files of computers, running or not
//	sshkeys.go    public keys that may log in
//	ssh.go        certificates and credentials for the SSH door
//	accesssessions.go, ports.go, shares.go  ways in: tokens, published ports, links
//	operations.go the handles of slow requests
//	snapshots.go  disks as they were, and computers made from them
//	usage.go      what computers and accounts have used
//	billing.go    auto-reload and the spend limit
//	uptime.go     how the cluster has been, from its own probes
package agentcomputer
