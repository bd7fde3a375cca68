// Package container runs computers as OCI containers under the warden.
//
// A computer is a directory of this node, a volume of the pool, and, while it
// runs, a container of the same range of user ids. The files of this package
// follow its life:
//
//	create.go   a directory, a volume, a range of ids, a record
//	start.go    mounts, the first life's users, the container, the guest
//	exec.go     commands, through the guest
//	snapshot.go the disk as it is now, kept; still.go makes it stand still for that
//	restore.go  a disk that begins as a snapshot
//	saver.go    snapshots into a blob store, and disks that begin as a save
//	stop.go     the guest is asked, then the kernel ends what is left
//	remove.go   everything above, undone
//	warm.go     blank computers, started before anybody asks
//
// What is true is asked of the kernel each time (look.go); the record keeps
// only what the kernel cannot know. So a driver opened again over the same
// directory takes up running computers as they are.
//
// Isolation is decided in spec.go, seccomp.go and disk.go: every computer has
// its own user ids, namespaces, system call list, and a root that is an
// overlay of a shared image (shown with shifted ids) and its own layer.
package container
