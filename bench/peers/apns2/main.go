// Command push lets sideshow/apns2 do the work of the benchmarks. bench/client.py has the protocol.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
)

type work struct {
	Host        string `json:"host"`
	Port        int    `json:"port"`
	KeyFile     string `json:"key_file"`
	KeyID       string `json:"key_id"`
	TeamID      string `json:"team_id"`
	Topic       string `json:"topic"`
	TokensFile  string `json:"tokens_file"`
	PayloadFile string `json:"payload_file"`
	Pushes      int    `json:"pushes"`
	Connections int    `json:"connections"`
	Streams     int    `json:"streams"`
}

type result struct {
	Accepted int64          `json:"accepted"`
	Rejected int64          `json:"rejected"`
	Failed   int64          `json:"failed"`
	Errors   map[string]int `json:"errors"`
}

func main() {
	var w work
	must(json.Unmarshal(read(os.Args[1]), &w))
	tokens := strings.Fields(string(read(w.TokensFile)))[:w.Pushes]
	payload := read(w.PayloadFile)
	key, err := token.AuthKeyFromFile(w.KeyFile)
	must(err)
	// One token, shared by all clients, as Apple asks. The certificate to trust comes with SSL_CERT_FILE.
	provider := &token.Token{AuthKey: key, KeyID: w.KeyID, TeamID: w.TeamID}
	clients := make([]*apns2.Client, w.Connections)
	for i := range clients {
		clients[i] = apns2.NewTokenClient(provider)
		clients[i].Host = fmt.Sprintf("https://%s:%d", w.Host, w.Port)
	}
	fmt.Println("ready")
	for stdin := bufio.NewScanner(os.Stdin); stdin.Scan(); {
		r := &result{Errors: map[string]int{}}
		// A fresh connection to APNs takes one request and then more: one push each goes ahead.
		first := min(len(clients), len(tokens))
		r.push(clients, w, tokens[:first], payload, 1)
		r.push(clients, w, tokens[first:], payload, w.Streams)
		must(json.NewEncoder(os.Stdout).Encode(r))
	}
}

// push pushes once to every token: as many goroutines as there may be requests in flight share the list.
func (r *result) push(clients []*apns2.Client, w work, tokens []string, payload []byte, streams int) {
	var next atomic.Int64
	var mu sync.Mutex
	var workers sync.WaitGroup
	for i := 0; i < w.Connections*streams; i++ {
		client := clients[i%len(clients)]
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				place := next.Add(1) - 1
				if place >= int64(len(tokens)) {
					return
				}
				response, err := client.Push(&apns2.Notification{
					DeviceToken: tokens[place],
					Topic:       w.Topic,
					Payload:     payload,
					Priority:    apns2.PriorityHigh,
					PushType:    apns2.PushTypeLiveActivity,
				})
				switch {
				case err != nil:
					atomic.AddInt64(&r.Failed, 1)
					mu.Lock()
					r.Errors[plain(err)]++
					mu.Unlock()
				case response.Sent():
					atomic.AddInt64(&r.Accepted, 1)
				default:
					atomic.AddInt64(&r.Rejected, 1)
				}
			}
		}()
	}
	workers.Wait()
}

// plain is an error without the URL, which names the token: the same trouble counts as one.
func plain(err error) string {
	text := err.Error()
	if place := strings.Index(text, `": `); place >= 0 {
		return text[place+3:]
	}
	return text
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	must(err)
	return content
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
