package snapshot

import "time"

const (
	// chunkBytes is where large files are cut, and how large a pack of small
	// ones gets.
	chunkBytes = 1 << 20
	// smallBytes is up to which size content is packed with other content.
	smallBytes = 256 << 10
	// maxPieceBytes bounds a piece before it is compressed; parts of lists may
	// be larger than chunks.
	maxPieceBytes = 4 << 20
	// maxStoredBytes bounds a piece as it is stored.
	maxStoredBytes = maxPieceBytes + 64<<10
	// minPackBytes is how large a pack must be before a name ends it, which one in
	// packShare does.
	minPackBytes, packShare = 256 << 10, 32
	// staleShare is the part of a piece that must be of use, as a divisor, for
	// small files to be left in it.
	staleShare = 4
	// recordBytes is how much of a file one entry lists: the rest follows in
	// more entries, cut at its multiples, so that they stay the same.
	recordBytes = 256 << 20
	// maxRecordSegments bounds the segments of one entry.
	maxRecordSegments = 4096
	// minPartBytes and partBytes bound a part of the list: between them it ends
	// where the entries themselves say, so that parts stay the same when entries
	// come and go before them.
	minPartBytes, partBytes = 32 << 10, 256 << 10
	// partShare is of how many names, beyond the least, one ends a part.
	partShare = 32
	// maxPending bounds the entries that wait for the pack they are in.
	maxPending = 4096

	// maxManifestBytes bounds a manifest before it is compressed: 40 bytes for
	// each piece, so a disk of some TiB.
	maxManifestBytes = 256 << 20

	// maxDepth bounds how deep directories lie: as deep as a path can name. Each
	// level is one open file.
	maxDepth = 2048
	// namesHeld bounds the names of directories that a walk holds in memory. A
	// level takes at most half of what is left, and minNames at least; of a
	// directory that has more names it reads them again.
	namesHeld, minNames = 1 << 18, 256
	maxNameBytes        = 255
	maxTargetBytes      = 4096
	// maxAttributeBytes bounds the extended attributes of one file, all in all.
	maxAttributeBytes = 1 << 20

	// maxLinks bounds the files with several names that a save reads only once.
	maxLinks = 1 << 16
	// maxLinkSegments bounds how much it knows of each.
	maxLinkSegments = 64
	// maxExtents bounds what is remembered of where a file lies on the disk.
	maxExtents = 1 << 16
	// maxSplices is in how many segments more than it has runs of data a chunk may
	// be saved, so that what changed in it need not take the rest along.
	maxSplices = 64
	// maxReused bounds the segments of a changed file that are looked up in the
	// index; one that has more is read.
	maxReused = 1 << 18

	// storeTime bounds one call of the store.
	storeTime = 2 * time.Minute
	// racyTime is how near to the moment of a save a change may lie and have the
	// same time as one after it: the kernel's clock has ticks.
	racyTime = 20 * time.Millisecond
	// DefaultGrace is how long what nobody needs stays at least.
	DefaultGrace = 10 * time.Minute

	// DefaultUploads is how many pieces of a node are on their way at once.
	DefaultUploads = 8
	// MaxUploads bounds it: each holds up to two pieces in memory.
	MaxUploads = 64
	// savesAtOnce and restoresAtOnce bound those of a node, and so their memory;
	// more wait.
	savesAtOnce, restoresAtOnce = 4, 4
	// downloads is how many pieces a restore asks for at once, and cachedPieces
	// how many it holds.
	downloads, cachedPieces = 8, 48
	// openFiles is how many files a restore writes at once.
	openFiles = 256
)
