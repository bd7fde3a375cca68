// Package trace follows requests: through the log of each node that they cross,
// and, where an operator wants it, as OpenTelemetry spans.
//
//	request ─▶ command ─▶ run ─▶ step ─▶ model call, tool
//
// A Tracer is where spans begin that have none above them in this process: at a
// door, at what another node asks, at a run. Everything below takes Start, which
// finds the way in its context; without one it does nothing. What crosses the
// records or goes to another node carries its place in the trace as the W3C
// traceparent in a state.Cause.
package trace
