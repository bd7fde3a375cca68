// Package rebyte is the Rebyte dialect: agent computers, which persist across
// the tasks that work on them.
package rebyte
