import { installTools } from './support/tools.js'

// `npm test` runs this first.
installTools()
