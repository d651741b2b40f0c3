// An APNs of sorts on Go's net/http and golang.org/x/net/http2.
//
//	go-peer PORT CHAIN KEY [REQUESTS]
//
// Answers 410 to tokens that begin with "dead" and 200 to others, writes each token it has read to standard output, and
// ends a connection gracefully after so many requests.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

func main() {
	port, chain, key := os.Args[1], os.Args[2], os.Args[3]
	limit := 0
	if len(os.Args) > 4 {
		limit, _ = strconv.Atoi(os.Args[4])
	}
	var mutex sync.Mutex
	seen := map[string]int{}
	handler := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		token := strings.TrimPrefix(request.URL.Path, "/3/device/")
		mutex.Lock()
		seen[request.RemoteAddr]++
		last := seen[request.RemoteAddr] == limit
		fmt.Println(token, len(body))
		mutex.Unlock()
		if last {
			answer.Header().Set("Connection", "close") // GOAWAY, and what is open is answered
		}
		answer.Header().Set("apns-id", "00000000-0000-0000-0000-000000000000")
		if strings.HasPrefix(token, "dead") {
			answer.WriteHeader(http.StatusGone)
			io.WriteString(answer, `{"reason":"Unregistered","timestamp":1790000000000}`)
		}
	})
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: handler}
	if err := http2.ConfigureServer(server, &http2.Server{MaxConcurrentStreams: 100}); err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.ListenAndServeTLS(chain, key))
}
