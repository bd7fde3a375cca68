// Package console serves the page of a computer to people: its terminal, files,
// processes, published ports and desktop, in a browser, on any node.
//
// Who opens /c/<id>?access_token=… with the token of a browser session gets a
// cookie of that computer alone and the page without the token; all that the
// page shows comes from the API below /c/<id>/api/, which only the cookie opens.
// A vnc session opens /c/<id>/desktop and nothing else. Whatever changes
// something, and every WebSocket, must come from the page's own origin. A
// session that ends cuts what it has open.
//
//	console.go    what it stands on, and its routes
//	entry.go      token → cookie, cookie → session
//	page.go       pages and assets, and what a browser may do with them
//	socket.go     WebSockets: bounds, and how they end
//	terminal.go   a shell in the computer, which outlives its page
//	files.go      the workspace; transfer.go moves whole files
//	processes.go  what runs, and signals
//	ports.go      what is published
//	desktop.go    RFB, passed on as it is
//	web/          the pages; `make assets` makes dist/ of them
package console
