//go:build race

package warden

// raceEnabled: the detector itself takes more memory than a warden may.
const raceEnabled = true
