// Package agent is the loop that turns a message into work: a model is
// called, the tools it asks for are run, and it is called again, until it
// has no more to ask.
//
// The loop holds nothing. What was committed is a list of [Entry], and
// [Loop.Next] is a pure function from it to one [Action]. Whoever drives it
// performs the action, commits what came of it, and asks again; so a run goes
// on anywhere from its entries alone. One rule: a tool call is committed
// before the tool starts, and a committed call without a result is never run
// again; [Interrupted] gives its result instead.
//
// A step crosses this package in this order:
//
//	loop.go      Next decides: CallModel, Compact, RunTool or Finish
//	view.go      what of the transcript a model is shown
//	caller.go    calls a [Model], with retries that the driver sees
//	toolbox.go   runs one tool on a [Computer], or has a [Toolkit] run it
//	compact.go   shortens a transcript that nears the model's window
//
// Package mcp brings tools of servers. Models are in the sub-packages openai, anthropic and script; package
// catalog says which there are and what they cost. Nothing here knows of
// actors, HTTP servers or the cluster.
package agent
