// Package state holds what the cluster agrees on: the records, and the commands
// that change them.
//
// It is pure. A command reads and writes records through its Tx and nothing
// else: no clock but the entry's stamp, no chance, no I/O. So every replica
// that applies the same log holds the same bytes.
//
// A command crosses this package in four steps:
//
//	Propose   seals a command with its proposer's number for the log
//	Apply     takes one log entry: each command in it succeeds or fails alone
//	recall    finds the answer of a command that was sent before
//	apply     of the command itself: checks, then writes; a refusal leaves nothing
//
// Records are kept in tables (table.go) with their indexes and exact counters,
// written together with the command's own. Readers take a View. One file holds
// one noun: its record, its commands and what can be read of it.
package state
