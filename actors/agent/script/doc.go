// Package script is the model that needs no vendor: it runs the code that a
// message holds, and says plainly that it is no language model.
//
// Fenced blocks are taken in order. A block whose info string has file=PATH is
// written to that file; bash, sh, python and node blocks are run with the
// shell tool. The first one that fails ends the run. A block that was
// interrupted by the loss of its node also ends it, because nobody knows what
// it did, unless its info string has the word retry.
//
//	fence.go   reads the blocks of a message
//	plan.go    turns blocks into tool calls
//	script.go  answers as a model does, from the transcript alone
package script
