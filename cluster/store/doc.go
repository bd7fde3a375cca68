// Package store keeps a node's replica of the records on disk, in pebble. It
// knows keys and values; what they mean is package state's.
//
//	<dir>/CURRENT     names the directory in use; replaced in one step
//	<dir>/db-000001   a pebble store
//	<dir>/ballast     room given back when the disk is full
//	<dir>/snapshots   see Shelf
//
// Updates are not synced: raft's log is the durability, and it is truncated
// only after Flush. After a crash the store is as it was after some update,
// never between two, and the log brings it up to date again.
package store
