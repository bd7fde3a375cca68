// Package workspace serves the files of one computer's workspace, whether the
// computer runs or not.
//
// The computer is not trusted: while we work in its tree it may turn a
// directory into a link, or a file into a pipe that never ends. So every
// access goes through os.Root, which leads nowhere else however names change,
// every opened file is looked at before it is read, and nothing is followed
// or read without a bound.
//
//	path.go    from what a user writes to a name in the workspace
//	fs.go      opening a workspace, reading
//	draft.go   content on its way to its place
//	write.go   writing, directories, moving
//	range.go   reading and writing in the middle of a file
//	overwrite.go  what a full disk must not spoil
//	patch.go   changing parts of a text
//	remove.go  removing, whatever grows meanwhile
//	list.go    what is there
//	grep.go    what is in it
//	op.go      one operation as a client sends it, and what it answers
//	verbs.go   what each operation does
//	pack.go    a directory as an archive
//	unpack.go  what is in an archive, and what may not be
//	tree.go    an archive's content on its way to its place
//	blank.go   what an empty workspace answers
package workspace
