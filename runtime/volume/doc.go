// Package volume keeps the data of computers on this machine.
//
// A node has one pool: a btrfs file system in a loop file, and in it one
// subvolume for each computer, with its layer and its workspace.
//
//	<Dir>/pool.img               the loop file; allocated, never sparse
//	<Dir>/pool/                  where it is mounted
//	<Dir>/pool/computers/<id>/   a computer's volume
//	<Dir>/pool/snapshots/<id>/<name>/disk   a read-only snapshot of it
//	<Dir>/pool/snapshots/<id>/<name>/note   what its maker says of it
//
// A computer's quota is a btrfs simple quota on a group of its own (1/N, where
// N is the subvolume), because subvolumes that are made inside join the group
// of the one they are made in, and so nobody leaves a quota by nesting.
//
// The mount outlives the process: computers go on while their node restarts,
// and Open takes up a pool that is already mounted. Where btrfs, loop devices
// or mkfs.btrfs are missing, volumes are plain directories without quotas;
// Pool.Reason says why.
//
//	pool.go       opening, closing, how much room there is
//	volumes.go    what a driver does with volumes
//	snapshots.go  what it does with snapshots, which outlive their volume
//	state.go      how far volumes have been written
//	layout.go     where the bytes of files lie, and since when
//	backing.go    the loop file and its mount
//	subvolumes.go volumes in btrfs
//	directories.go volumes in a plain directory
package volume
