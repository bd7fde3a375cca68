// Package search finds threads by what was said in them. It is an inverted
// index over the messages and titles that a node's replica holds: derived from
// the records, one for each node, and never asked by a command.
//
//	words.go    what a text's words are, in any script
//	index.go    keeps a thread's words: adds what was said since it last looked
//	query.go    finds and ranks threads (BM25 over whole threads, by account)
//	snippet.go  shows where the words stand
//
// It is kept in an ordered store of its own, whose updates need not be durable:
// how far a thread was read is written together with its words, so that after a
// crash it is behind at most, and catches up by comparing threads.
package search
