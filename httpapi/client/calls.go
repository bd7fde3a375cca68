package client

import (
	"context"
	"net/http"
)

func get[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	err = c.call(ctx, request{method: http.MethodGet, path: path}, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	err = c.call(ctx, request{method: http.MethodPost, path: path, body: body}, &out)
	return out, err
}

// postOnce is post for what no Idempotency-Key guards: it is not sent again
// once it may have been done.
func postOnce[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	err = c.call(ctx, request{method: http.MethodPost, path: path, body: body, once: true}, &out)
	return out, err
}

func patch[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	err = c.call(ctx, request{method: http.MethodPatch, path: path, body: body}, &out)
	return out, err
}

func remove(ctx context.Context, c *Client, path string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: path}, nil)
}
