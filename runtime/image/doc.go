// Package image knows where the root file systems of computers come from.
//
// An image is one or more read-only directories, named by a digest and shared
// by all computers that use it. Four kinds exist:
//
//	host      this machine's own /usr over a small skeleton of everything else:
//	          ready at once, nothing downloaded (host.go, etc.go, users.go,
//	          packages.go)
//	imported  an OCI archive or layout, each layer unpacked once for all images
//	          that have it, or the same from a registry (import.go, source.go,
//	          archive.go, unpack.go, pull.go)
//	made      of Debian's packages by a recipe, when first asked for
//	          (recipe.go, making.go, bootstrap.go)
//	committed of another image and the layers that computers left over it
//	          (layer.go, pack.go, cache.go)
//
// An image goes to another node as a manifest and the tars of its layers, which
// are packed anew from their trees, byte for byte the same on every node
// (manifest.go, pack.go); what comes is unpacked while its digest is checked
// (fetch.go, sharing.go). A host image is never sent, and never exported as an
// archive (export.go). Sweep deletes what nothing needs (sweep.go, cache.go).
//
// The skeleton holds nothing of this machine that a tenant should not see: a
// file of /etc is in it only when a list says so, everybody may read it, and
// it looks like no secret.
//
// On disk, below the store's directory, which only root can enter:
//
//	names/<name>           a file with the digest that a name stands for
//	images/<hex>/root      a made image, or an imported one of very many layers;
//	                       images/<hex>/info.json about it, or alone about one
//	                       that is made of layers, over another image or nothing
//	layers/<hex>/root      a layer, named by the digest of the tar it packs to
//	cache/<hex>            a file with the digest of an image that a build step made
//	host/<hex>/root, mask  a skeleton of the host image
//	tmp/                   what is not finished; emptied when nobody else has the store open
//
// A making goes on when whoever asked has left, one at a time, and ends with
// the process: it runs in mount and process namespaces of its own. Maintainer
// scripts of packages run as root of this machine, in a chroot, as they do when
// its administrator installs one: from its sources and under its keys alone.
//
// Everything is built in tmp and renamed to its place, so that what has a
// name is whole.
package image
