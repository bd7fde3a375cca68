// Package blob keeps blobs by key where other machines find them: in a
// directory that they share, or in a service that speaks S3.
//
// A key is a path of names, such as computers/x/saves/y; names before the last
// are its directories. A blob is small enough to be held in memory, is there
// whole or not at all, and is there for everybody once Put has returned.
//
//	store.go  what a store does
//	dir.go    in a directory
//	s3.go     in a bucket
package blob
