// Package door is what every HTTP door shares: who may enter and how often,
// how much a request may carry, how a refusal reads, how records are looked
// up, how a stream is written.
//
// A door translates and never decides: it turns a request into a call of a
// noun of package actors, and a fault's kind into a status. A dialect (one
// product's shapes) brings its own error bodies and limits in a [Dialect].
//
//	door.go      what a node's doors share, and one door's guards
//	auth.go      key → caller, scopes
//	limit.go     fixed windows, 429
//	body.go      bounded, strict JSON
//	lookup.go    linearizable reads, stale ones when there is no leader
//	stream.go    server-sent events that cannot hang or be hung
package door
