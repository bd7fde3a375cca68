// Package admin is the door for those who run the cluster: accounts, users,
// keys, budgets, nodes and every account's computers. All its routes are under
// /v1/admin and need an admin key.
package admin
