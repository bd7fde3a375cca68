// Package process is the protocol of process.Process, as generated from
// process.proto, with the headers that belong to it.
package process

//go:generate protoc -I .. --go_out=.. --go_opt=paths=source_relative --connect-go_out=.. --connect-go_opt=paths=source_relative ../process/process.proto
