// Package client calls a Bothy cluster over HTTP.
//
//	c, err := client.New([]string{"http://n1:7070", "http://n2:7070"}, key)
//	result, err := c.Run(ctx, client.Message{Content: "Create a hello.py file"}, func(e client.Event) error {
//		fmt.Println(e.Type)
//		return nil
//	})
//
// Any node answers any request, so a client is given several URLs and goes on
// at the next one when one fails. What is sent twice for that is sent with an
// Idempotency-Key and done once. A stream is resumed from its last event:
// each is seen once, in order.
//
// Failures are fault.Errors of the kind that the server had.
package client
