(ns app
  (:require [clojure.string :as str]))

(def visits (atom 0))
(def pages {:index "Hello from cherry"})

(defn response [status body]
  {:status status
   :headers {"content-type" "text/plain; charset=utf-8"}
   :body body})

(defn route [{:keys [method uri body]}]
  (cond
    (= uri "/") (response 200 (:index pages))
    (= uri "/count") (response 200 (str (swap! visits inc)))
    (str/starts-with? uri "/reverse/") (response 200 (str/join "" (reverse (subs uri 9))))
    (and (= method "POST") (= uri "/words"))
    (response 200 (pr-str (frequencies (map keyword (str/split body " ")))))
    (= uri "/set") (response 200 (pr-str (into (sorted-set) [3 1 2 3])))
    (= uri "/throw") (throw (ex-info "no" {:code 1}))
    :else (response 404 "not found")))

(defn handler [method uri body]
  (clj->js
   (try
     (route {:method method :uri uri :body body})
     (catch :default e
       (response 500 (str "error: " (ex-message e) " " (pr-str (ex-data e))))))))
