// Package identity is who a node is: its uuid, its key pair, the certificate
// that the cluster's own authority gave it, and the keys that all nodes of one
// cluster share. It is files and pure functions; what the cluster agrees on
// (which tokens are open, which nodes are members) is not decided here.
//
// A data directory holds, all with mode 0600:
//
//	lock           held with flock while a process uses the directory
//	node.key       the node's ed25519 key, made at first start, never changed
//	node.json      its uuid and display name
//	cluster.key    the cluster key: the one secret that opens all others
//	cluster.json   the authority's certificate, this node's certificate, and the
//	               authority's key, gossip key and secrets keys, sealed under
//	               the cluster key
//
// cluster.json is written last and in one step, so a directory is a member's
// or it is not: nothing lies between.
package identity
