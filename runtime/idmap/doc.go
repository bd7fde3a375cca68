// Package idmap gives each computer its own user ids on this machine.
//
// A computer's root is user 0 inside and an unprivileged user outside. Which
// one is decided once for the whole machine, in a directory that all nodes of
// the machine share:
//
//	ranges.go     who has which 65,536 ids
//	namespace.go  shows a directory with its ids shifted into a range
//	shift.go      gives a directory of one range to another for good
//	attribute.go  the ids in what a file has beside its owner
//
// Two computers never share a range, so a file that one of them managed to
// reach in another's disk would still not be its own.
package idmap
