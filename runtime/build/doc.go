// Package build turns the recipe of an environment into a Dockerfile, and a
// Dockerfile into the steps that make an image.
//
// All but engine.go decides and does nothing: no files, no clock, no network. The
// same recipe gives the same text, and the same text over the same base images
// the same steps with the same cache keys, on every node.
//
// What an environment asks for crosses it in this order:
//
//	names.go       refuses what is no name of a package, runtime or image
//	recipe.go      writes the Dockerfile, of what installers.go knows
//	dockerfile.go  reads a Dockerfile with BuildKit's parser, within bounds
//	refuse.go      says what a builder that many share does not do
//	check.go       tells everything that is wrong with a text; lint.go what is unwise
//	plan.go        says what stages and steps are; planner.go finds the stages
//	               and stage.go the steps, expanded by variables.go
//	engine.go      does the steps, in computers of this machine
//	failure.go     tells in a line how a build failed
//
// A Dockerfile here has no build context: files come from heredocs, from other
// stages, from other images, and from what RUN fetches.
package build
