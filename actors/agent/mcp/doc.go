// Package mcp brings the tools of Model Context Protocol servers into a run:
// programs inside the run's computer that speak on their standard input and
// output, and servers that are called over HTTP.
//
//	set.go       the servers of one run, and those of one agent in it: started together, their tools told
//	server.go    one server's life: started when needed, once more when it died
//	process.go   a server that is a program in the computer
//	remote.go    a server that is called over HTTP
//	names.go     what a model calls a server's tool
//	result.go    what a model is told of a call
//	resource.go  the tool that reads what results only name
//
// What a server does wrong never ends a run: it is told to the model, and to
// the user by Notes. A call that was sent is never sent again.
package mcp
