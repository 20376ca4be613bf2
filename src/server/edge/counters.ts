/** What the edge has done so far, for the status page. */
export class Counters {
  openRequests = 0
  requests = 0
  failedRequests = 0
  tcpConnections = 0
}
