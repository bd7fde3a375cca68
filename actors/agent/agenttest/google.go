package agenttest

import (
	"fmt"
	"strings"
)

// GoogleText is words of a reply in Google's protocol.
func GoogleText(text string) string { return fmt.Sprintf(`{"text":%s}`, quote(text)) }

// GoogleThought is a readable thought.
func GoogleThought(text string) string { return fmt.Sprintf(`{"text":%s,"thought":true}`, quote(text)) }

// GoogleCall is a call of a tool, with arguments in JSON.
func GoogleCall(name, arguments string) string {
	return fmt.Sprintf(`{"functionCall":{"name":%s,"args":%s},"thoughtSignature":"U0lH"}`, quote(name), arguments)
}

// Google is a whole reply in Google's protocol, one event for each part. Its
// usage is 100 tokens in, of which 40 cached, and 20 out, of which 5 thought.
func Google(parts ...string) Turn { return GoogleEnding("STOP", parts...) }

// GoogleEnding is a reply that ends for the reason.
func GoogleEnding(reason string, parts ...string) Turn {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[%s]},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":100,\"totalTokenCount\":100}}\r\n\r\n", part)
	}
	fmt.Fprintf(&b, "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"\"}]},\"finishReason\":%s,\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":100,\"cachedContentTokenCount\":40,\"candidatesTokenCount\":15,\"thoughtsTokenCount\":5,\"totalTokenCount\":120}}\r\n\r\n", quote(reason))
	return Turn{Body: b.String()}
}
