// Package snapshot keeps disks in a blob store as pieces and manifests, and
// makes disks of them again.
//
//	computers/<id>/saves/<save>          a manifest: what a disk is, written last
//	computers/<id>/pieces/<save>/<hash>  a piece that this save was the first to send
//	store                                the store's own id, made by whoever came first
//
// A piece is up to a MiB of content, named by its SHA-256 and compressed. Large
// files are cut at multiples of a MiB, so that what is changed in place changes
// few pieces; small ones, and small runs between holes, are packed together.
// What files there are is a list of entries in the order of a walk, cut into
// parts that are pieces too; a manifest names the parts, and all pieces, by the
// saves that sent them.
//
// Beside the disk lies an index of what was saved last, in the same order: a save
// walks the tree and the index side by side, and takes from the index what the
// tree has unchanged. So both need as much memory as a few directories have
// names, whatever the number of files; limits.go has every bound.
//
//	snapshot.go  the Saver, keys
//	limits.go    every bound
//	entry.go     an entry of a tree
//	part.go      entries as bytes, and back: what a store says is not trusted
//	manifest.go  what a save is
//	walk.go      a tree in order
//	attribute.go what a file has beside its content
//	save.go      a tree to pieces; names.go, name by name
//	content.go   a file to pieces
//	change.go    what of a changed file need not be read
//	upload.go    pieces on their way
//	index.go     what was saved last from this machine
//	fetch.go     pieces back
//	restore.go   pieces to a tree; layfile.go, to its files
//	inbox.go     disks that come from other machines, without a store between
//	busy.go      one at a time for each computer
//	sweep.go     what nobody needs any more
package snapshot
