// Package filesystem is the protocol of filesystem.Filesystem, as generated
// from filesystem.proto.
package filesystem

//go:generate protoc -I .. --go_out=.. --go_opt=paths=source_relative --connect-go_out=.. --connect-go_opt=paths=source_relative ../filesystem/filesystem.proto
