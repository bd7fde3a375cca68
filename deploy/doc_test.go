// Package deploy has no code: its tests check what operators deploy by, against
// the schemas of those who will read it.
package deploy
