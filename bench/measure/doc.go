// Package measure turns what a scenario saw into what it prints: exact
// percentiles, tables in which every line stands beside what it is compared
// to, and what the machine was doing meanwhile.
package measure
