// Package computeragents is the Computer Agents door: threads, agents,
// environments and budgets, in the shapes its clients send and read.
//
// A request crosses it in one function: read the body into a wire struct,
// check it, ask a noun, answer. What a run does comes out of its thread's log:
//
//	threads.go    routes of threads; runs.go starts runs and follows them
//	scribe.go     one event of the log → the lines of a stream
//	agents.go     routes of agents; agentrules.go says what an agent may be
//	environments.go, recipe.go   the same for environments
//	runtimes.go, packages.go, dockerfile.go   what its image is made of
//	builds.go     the making of it, and what that says
//	schedules.go  routes of schedules; schedulerules.go says what one may be
//	budget.go     balance and limits; preferences.go, the same to other clients
//	billing.go, costs.go   the bill and what it adds up to, in a span of days
//	git.go, gitdiff.go, github.go   repositories in workspaces
//	health.go     probes and totals
//
// The nouns are in package actors; DESIGN.md in httpapi says why things are so.
package computeragents
